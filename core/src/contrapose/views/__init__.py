"""Views: the decorator for a plain function, composition, and the plan of which views a run makes."""

from contrapose.views.compose import Compose
from contrapose.views.decorator import view
from contrapose.views.identity import Identity
from contrapose.views.maker import ViewMaker
from contrapose.views.mix import BatchMixer, Mix
from contrapose.views.plan import ViewPlan
from contrapose.views.random import rng_for

__all__ = ["BatchMixer", "Compose", "Identity", "Mix", "ViewMaker", "ViewPlan", "rng_for", "view"]
