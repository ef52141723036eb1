"""Ways of getting a resolved file to the client, a module each.

A backend is one function ``respond(delivery, …) -> Response`` without policy: what it is given has
been authorised and resolved.
"""
