"""What the hosts of a cluster share, in a container: PostgreSQL and SeaweedFS.

``python -m tests.support.cluster_services`` runs the store in the foreground, and writes its keys
where the installation reads them.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from .containers import CLONE, Container
from .stores import seaweedfs

DATABASE, STORE, BALANCER, OTHER = "10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.0.4"
FOLDER = Path("/root/cluster")
FILE = FOLDER / "cluster.toml"
BUCKET = "portal"
AUTHORITY = "/etc/ssl/certs/database.crt"
PASSWORD = r"a:b\c"  # what libpq's password file needs escaped
_POSTGRES = "runuser -u postgres --"
_START = rf"""
umask 077
for address in {DATABASE} {STORE} {BALANCER} {OTHER}; do ip address add $address/32 dev lo; done
mkdir -p {FOLDER}
printf '%s\n' '{PASSWORD}' >{FOLDER}/password
openssl rand -hex 32 >{FOLDER}/secret_key
systemd-run --quiet --unit=store --working-directory={CLONE} --setenv=PYTHONDONTWRITEBYTECODE=1 \
    {sys.executable} -m tests.support.cluster_services
install -d -o postgres /srv/database
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
cd /
{_POSTGRES} "$bin/initdb" -D /srv/database --auth-local=trust --auth-host=scram-sha-256 \
    --no-sync --encoding=UTF8 --locale=C.UTF-8 >/dev/null
echo 'hostssl all all 10.77.0.0/24 scram-sha-256' >>/srv/database/pg_hba.conf
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=database \
    -addext subjectAltName=IP:{DATABASE} \
    -keyout /srv/database/server.key -out /srv/database/server.crt 2>/dev/null
chown postgres /srv/database/server.*
install -m 0644 /srv/database/server.crt {AUTHORITY}
cat >/etc/systemd/system/database.service <<END
[Service]
Type=notify
User=postgres
ExecStart=$bin/postgres -D /srv/database -k /srv/database -c listen_addresses={DATABASE} -c ssl=on
END
systemctl daemon-reload
systemctl start database
psql="psql --quiet --host=/srv/database"
{_POSTGRES} $psql -c "CREATE USER portal PASSWORD '{PASSWORD}'" \
    -c 'CREATE DATABASE portal OWNER portal'
until [ -s {FOLDER}/endpoint ]; do sleep 0.1; done
cat >{FILE} <<END
secret_key_file = "secret_key"
balancers = ["{BALANCER}"]

[database]
url = "postgresql://portal@{DATABASE}/portal?sslmode=verify-full&sslrootcert={AUTHORITY}"
password_file = "password"

[store]
endpoint = "$(cat {FOLDER}/endpoint)"
bucket = "{BUCKET}"
prefix = "files/"
keys_file = "store-keys.toml"
END
"""


def start(container: Container) -> None:
    """Start them, and write the file that an installation takes."""
    container.must("bash", "-ec", _START)


def query(container: Container, statement: str) -> str:
    """Return what the database answers to its administrator, without alignment."""
    psql = ("psql", "--no-psqlrc", "-At", "--host=/srv/database", "portal", "-c", statement)
    return container.must("runuser", "-u", "postgres", "--", *psql)


def objects(container: Container) -> dict[str, str]:
    """Return the SHA-256 of each object of the store, by its key."""
    program = """
import boto3, hashlib, tomllib
from pathlib import Path
from tests.support import cluster_services as shared
from tests.support.stores.store import CLIENT
keys = tomllib.loads((shared.FOLDER / "store-keys.toml").read_text())
client = boto3.client("s3", endpoint_url=(shared.FOLDER / "endpoint").read_text().strip(),
    region_name="us-east-1", aws_access_key_id=keys["key_id"],
    aws_secret_access_key=keys["secret"], config=CLIENT)
for one in client.list_objects_v2(Bucket=shared.BUCKET).get("Contents", ()):
    body = client.get_object(Bucket=shared.BUCKET, Key=one["Key"])["Body"].read()
    print(one["Key"], hashlib.sha256(body).hexdigest())
"""
    listed = container.must("env", f"--chdir={CLONE}", sys.executable, "-B", "-c", program)
    return dict(line.split() for line in listed.splitlines())


def _serve() -> None:
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with (
        tempfile.TemporaryDirectory() as folder,
        seaweedfs(Path(folder), bucket=BUCKET, address=STORE) as store,
    ):
        versioned = {"Status": "Enabled"}
        store.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioned)
        keys = f'key_id = "{store.access_key}"\nsecret = "{store.secret_key}"\n'
        (FOLDER / "store-keys.toml").touch(0o600)
        (FOLDER / "store-keys.toml").write_text(keys)
        (FOLDER / "endpoint").write_text(f"{store.endpoint}\n")
        signal.pause()


if __name__ == "__main__":
    _serve()
