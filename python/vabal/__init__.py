"""vabal chooses which images to label next when some classes are rare and labels are few.

>>> import numpy as np, vabal
>>> probs = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], dtype=np.float32)
>>> vabal.select("margin", probs=probs, n=1).ids
array([1])

:func:`select` is all that most need; :func:`embed` gives features of images by a pretrained network;
:class:`LinearHead` is a classifier of features, :func:`outlook` says when to stop; :class:`VaBAL` keeps the model
behind the strategy "vabal-paper"; :mod:`vabal.compat` speaks the languages of scikit-activeml, modAL, baal and
small-text, :mod:`vabal.hook` takes features out of a PyTorch model. A pool of any size: :func:`plan` and
:func:`shortlist`, on Spark and Ray by :mod:`vabal.spark` and :mod:`vabal.ray`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._demo import Demo, demo
from ._embed import embed
from ._model import VaBAL
from ._outlook import Estimate, Outlook, Training, outlook
from ._plan import Plan, plan
from ._progress import Progress
from ._select import Health, Selection, Strategy, VabalWarning, select, strategies
from ._settings import StrategyName
from ._shortlist import shortlist
from ._vabal import __version__

if TYPE_CHECKING:
    from . import compat, hook, ray, spark
    from ._head import LinearHead

__all__ = [
    "Demo",
    "Estimate",
    "Health",
    "LinearHead",
    "Outlook",
    "Plan",
    "Progress",
    "Selection",
    "Strategy",
    "StrategyName",
    "Training",
    "VaBAL",
    "VabalWarning",
    "__version__",
    "compat",
    "demo",
    "embed",
    "hook",
    "outlook",
    "plan",
    "ray",
    "select",
    "shortlist",
    "spark",
    "strategies",
]

for _each in (
    Demo,
    Estimate,
    Health,
    Outlook,
    Plan,
    Progress,
    Selection,
    Strategy,
    Training,
    VaBAL,
    VabalWarning,
):  # in help and tracebacks
    _each.__module__ = __name__
del _each


def __getattr__(name: str) -> Any:
    if name == "LinearHead":  # which imports scikit-learn, where it is installed
        return importlib.import_module("._head", __name__).LinearHead
    if name not in ("compat", "hook", "ray", "spark"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
