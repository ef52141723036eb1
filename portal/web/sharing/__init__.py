"""Pages of links: for those who create them, and for visitors who open them."""
