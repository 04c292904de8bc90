"""What a connection tells the application of a request, beside what ASGI says: names in the scope."""

# How many bytes its body has, when the gate found that it cannot wait.
CANNOT_WAIT = "stepwell.cannot_wait"
# How many bytes its body has, when it is here as a whole: nobody has to wait for it, nor to see that the wait ends.
BODY_IS_HERE = "stepwell.body_is_here"
# It takes an answer as one message of this type: `status`, `headers` by their names in lower case, and `body`.
WHOLE_ANSWER = "stepwell.whole_answer"
