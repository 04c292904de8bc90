"""What a connection tells the door of a request, beside what ASGI says: names in the scope."""

# How many bytes its body has, when the gate found that it cannot wait.
CANNOT_WAIT = "stepwell.cannot_wait"
# Its body is here as a whole: nobody has to wait for it, nor to see that the wait ends.
BODY_IS_HERE = "stepwell.body_is_here"
