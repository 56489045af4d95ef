"""A test double of AWS's access portal: the service that boto3 calls ``sso``.

It returns credentials from a configuration file to holders of the issuer's access tokens.
"""
