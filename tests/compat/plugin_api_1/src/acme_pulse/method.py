"""A method that is a function."""


def memory(tau: float = 0.1):
    """Two views against each other and the last step's rows."""
    return {
        "branches": {"online": {"views": "*", "projector": {"use": "pulse/scaled", "out": 8}}},
        "sources": {"last": {"use": "pulse/last", "of": "online"}},
        "terms": {
            "contrast": {
                "query": "online",
                "keys": ["online", "last"],
                "positives": "same(sample) and origin(online) and not self",
                "denominator": "not self",
                "loss": "nce",
                "tau": tau,
            },
            "recall": {"query": "online", "loss": "pulse/recall", "weight": 0.1},
        },
    }
