"""``flask delegate doctor``: what is wrong with an installation, and what to do about it.

:mod:`.offline` and :mod:`.httpd` look at settings, folders and configuration files, :mod:`.live`
asks a running server, with the requests of :mod:`.attacks`. All of them report
:class:`~flask_delegate.doctor.finding.Finding` objects.
"""
