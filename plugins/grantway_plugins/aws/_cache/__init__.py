"""A store in the AWS CLI's token cache."""
