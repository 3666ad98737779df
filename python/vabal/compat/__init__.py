"""vabal's strategies in the shapes that other active-learning libraries expect. Each is imported on first use.

==================  ==========================================================================================
scikit-activeml     :class:`PoolQuery`, a ``SingleAnnotatorPoolQueryStrategy`` where that package is installed
modAL               :func:`modal_query`: a callable ``(classifier, X_pool, n_instances) → (indices, metrics)``
baal                :class:`Heuristic`: ``compute_score``, ``get_ranks``, ``get_uncertainties``
small-text          :class:`TextQuery`: ``query(clf, dataset, indices_unlabeled, indices_labeled, y, n)``
==================  ==========================================================================================

All take the name of a strategy, a seed and the strategy's settings as keywords, and refuse wrong ones at once. The
same seed is used for every query: give another one where rounds shall draw anew. A strategy that needs features
takes them from ``features=``, a callable, else the samples themselves are the features. A strategy that needs the
predictions of several classifiers takes them from ``draw=``, a callable or the name of the classifier's method, from
the members of an ensemble, or from copies of the classifier that are fitted to bootstraps of the labelled samples.

>>> import numpy as np, vabal
>>> vabal.compat.Heuristic("entropy")(np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]))
array([1, 2, 0])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .baal import Heuristic
    from .modal import ModalQuery, modal_query
    from .skactiveml import PoolQuery
    from .small_text import TextQuery

__all__ = ["Heuristic", "ModalQuery", "PoolQuery", "TextQuery", "modal_query"]

_HOMES = {
    "Heuristic": "baal",
    "ModalQuery": "modal",
    "PoolQuery": "skactiveml",
    "TextQuery": "small_text",
    "modal_query": "modal",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
