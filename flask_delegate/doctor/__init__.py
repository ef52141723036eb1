"""``flask delegate doctor``: what is wrong with an installation, and what to do about it.

The checks in :mod:`.checks` look at settings, folders and configuration files, and ask a running
server with :mod:`.requests`. All of them report :class:`.finding.Finding` objects. Requests need
:mod:`.route` only; the rest is imported when the command runs.
"""
