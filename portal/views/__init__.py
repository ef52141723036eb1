"""What the portal answers: a blueprint for each concern."""
