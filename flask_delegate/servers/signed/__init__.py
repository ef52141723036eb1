"""Signed URLs and folders, as each server verifies them.

:mod:`.folders` makes the cookie that opens a folder, :mod:`.apache` the conditions of Apache, and
:mod:`.nginx` a location with a script for njs. What signed URLs are: see :mod:`..signing`.
"""
