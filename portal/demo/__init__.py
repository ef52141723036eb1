"""An organisation to try the portal with."""
