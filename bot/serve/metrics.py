"""What is counted for `/metrics`, in Prometheus' words.  No label holds a text or a person."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Metrics:
    """One set of counters for one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.questions = Counter(
            "lotse_questions", "Answered questions by outcome", ["outcome"], registry=self.registry
        )
        self.answer_seconds = Histogram(
            "lotse_answer_seconds",
            "From a question's arrival in the worker to the delivered answer",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.core_seconds = Histogram(
            "lotse_core_seconds", "Finding the answer", buckets=BUCKETS, registry=self.registry
        )
        self.failures = Counter(
            "lotse_delivery_failures",
            "Deliveries that failed and are tried again",
            ["adapter"],
            registry=self.registry,
        )
        self.dead = Gauge("lotse_dead", "Deliveries that were given up", registry=self.registry)
        self.depth = Gauge("lotse_inbox_depth", "Open questions", registry=self.registry)
        self.oldest = Gauge(
            "lotse_oldest_open_seconds", "Age of the oldest open question", registry=self.registry
        )
        self.store_failures = Counter(
            "lotse_store_failures", "Times the store could not be used", registry=self.registry
        )
        self.connected = Gauge(
            "lotse_adapter_connected",
            "Whether the adapter is connected",
            ["adapter"],
            registry=self.registry,
        )
