"""The AWS CLI's token cache as a store."""
