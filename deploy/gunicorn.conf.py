"""How gunicorn runs the portal; systemd hands it the socket and starts it."""

import os

workers = int(os.environ["SIZE_PROCESSES"])
worker_class = "gthread"
threads = int(os.environ["SIZE_THREADS"])
# More than there are threads: the web server in front keeps connections open between requests.
worker_connections = 2 * int(os.environ["SIZE_WORKERS"])
# Where workers show that they live: not on a disk, which may be slow.
worker_tmp_dir = "/run/portal-gunicorn"
# Nobody but the web server can connect to the socket.
forwarded_allow_ips = "*"
# Its default believes SCRIPT_NAME and PATH_INFO, too, which Apache passes on from clients.
forwarder_headers = ""
control_socket_disable = True
graceful_timeout = 25
