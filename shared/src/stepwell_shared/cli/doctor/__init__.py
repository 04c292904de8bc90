"""`stepwell doctor`: looks at a deployment from a terminal and says what is wrong and what to do about it."""
