"""Uploads that arrive in pieces and survive a lost connection: tus 1.0, see https://tus.io/.

A request reaches web/uploads/tus.py, which reads the protocol's headers (headers.py), finds the
upload and decides (uploads.py), and adds its bytes to what is on disk already (parts.py).
"""
