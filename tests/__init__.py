"""The tests of twisted_ws, for pytest and for trial."""

import warnings

from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.plugin import getPlugins

# The first look for plugins imports all of them, Twisted's own too, of which some warn
# of what Python will drop. That is no fault of the test that happens to look first.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for _ in getPlugins(IStreamClientEndpointStringParserWithReactor):
        pass
