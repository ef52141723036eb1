"""The portal for the process group of uploads under mod_wsgi-express."""

from deploy.wsgi import application


def handle_request(environ, start_response):  # type: ignore[no-untyped-def]
    """Answer: the name is mod_wsgi's for a handler, whose request has no mount point."""
    environ["PATH_INFO"] = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
    environ["SCRIPT_NAME"] = ""
    return application(environ, start_response)
