"""A test double of AWS's access portal: the service that boto3 calls ``sso``.

It gives the credentials of a configuration file to every holder of an access token of this issuer.
"""
