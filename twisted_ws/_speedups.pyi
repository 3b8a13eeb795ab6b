# The same as their twins in Python, to the letter.
from .frames import CONTRACT as CONTRACT
from .frames import FrameDecoder as FrameDecoder
from .frames import encodeFrame as encodeFrame
from .frames import mask as mask
