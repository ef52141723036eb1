"""A small WSGI server that speaks SCGI, for Apache's mod_proxy_scgi and for nginx.

``python -m flask_delegate.scgi app:app`` runs a master (:mod:`.master`) that starts processes, each
with threads (:mod:`.worker`), of which each answers one request at a time (:mod:`.exchange`). It
knows nothing of the rest of the package. It needs Linux.

Sources: the SCGI specification (https://python.ca/scgi/protocol.txt), PEP 3333, RFC 3875.
"""
