"""What a process says of itself to whoever runs it: logs, figures and traces, without a person in them."""
