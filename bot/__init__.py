"""The core of OZG-Lotse: knowledge, matching, answering, journal.  Adapters live beside it."""
