"""A model beside the portal: see :mod:`.machine`."""
