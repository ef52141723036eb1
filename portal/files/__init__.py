"""Files and folders: where they lie, who may use them, how they arrive and leave."""
