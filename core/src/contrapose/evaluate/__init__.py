"""Evaluation: what a run learnt, in numbers with intervals, beside what its network knew untrained."""

from contrapose.evaluate.evaluate import evaluate
from contrapose.evaluate.evaluation import Evaluation, Row
from contrapose.evaluate.scores import Embedded, Evaluator, Score, Table

__all__ = ["Embedded", "Evaluation", "Evaluator", "Row", "Score", "Table", "evaluate"]
