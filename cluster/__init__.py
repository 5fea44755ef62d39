"""The same archives on Ray: the only package that imports ray, which is the extra `headswap[ray]`."""

import os

# Read when ray is imported. Otherwise a thread of Serve's that outlives ray.shutdown() starts Ray anew in the process:
# one at that moment had the whole process end with status 1 and no word.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
