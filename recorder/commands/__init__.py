"""The commands of the service, by subject, and how what they tell looks. They import late."""
