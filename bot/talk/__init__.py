"""The conversation: a message, the state of its thread and an edition give a reply.  Pure."""
