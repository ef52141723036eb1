"""Uploads that arrive in pieces and outlive a lost connection: tus 1.0, see https://tus.io/.

A request reaches views/resumable.py, which reads the protocol's headers (headers.py), finds the
upload and decides (uploads.py), and has its bytes added to what is on disk already (parts.py).
"""
