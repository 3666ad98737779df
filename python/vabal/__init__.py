"""vabal chooses which images to label next when some classes are rare and labels are few.

>>> import numpy as np, vabal
>>> probs = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], dtype=np.float32)
>>> vabal.select("margin", probs=probs, n=1).ids
array([1])

:func:`select` is all that most need; :func:`embed` gives features of images by a pretrained network;
:class:`VaBAL` keeps the model behind the strategy "vabal-paper"; :mod:`vabal.compat` speaks the languages of
scikit-activeml, modAL, baal and small-text, :mod:`vabal.hook` takes features out of a PyTorch model.
"""

from ._demo import Demo, demo
from ._embed import embed
from ._model import VaBAL
from ._progress import Progress
from ._select import Health, Selection, Strategy, VabalWarning, select, strategies
from ._vabal import __version__

__all__ = [
    "Demo",
    "Health",
    "Progress",
    "Selection",
    "Strategy",
    "VaBAL",
    "VabalWarning",
    "__version__",
    "demo",
    "embed",
    "select",
    "strategies",
]
