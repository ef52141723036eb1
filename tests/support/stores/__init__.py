"""S3-compatible object stores on the loopback interface: two real ones, and one that misbehaves."""

from .misbehaving import Misbehaving, misbehaving
from .seaweedfs import seaweedfs
from .store import RunningStore
from .swift import swift

__all__ = ["Misbehaving", "RunningStore", "misbehaving", "seaweedfs", "swift"]
