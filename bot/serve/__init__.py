"""What runs for days: the journal, the worker, health and the operator's commands."""
