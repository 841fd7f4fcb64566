"""An evaluator."""

from contrapose.evaluate import Score


def spread(embedded):
    """Standard deviation of the embeddings."""
    tables = embedded.tables(embedded.split, "pooled")
    return [Score("spread", modality, float(table.z.std()), better=None) for modality, table in tables.items()]
