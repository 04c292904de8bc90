"""Events: what a service promises to tell its subscribers, from the outbox row to the notification received."""
