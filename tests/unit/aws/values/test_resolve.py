"""What a denial means for a secret that the listing does not show."""

import pytest

from secretsyncer.aws.failures import from_code
from secretsyncer.aws.identity import OPERATOR, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.values.resolve import failure_of
from secretsyncer.errors import Unlisted


class Empty(Catalogue):
    """A complete listing of this round, without any secret."""

    def lacks(self, ref):
        return True


@pytest.mark.parametrize(
    ("code", "sentence", "absent"),
    [
        ("AccessDeniedException", "no identity-based policy allows the secretsmanager:GetSecretValue action", True),
        ("AccessDeniedException", "Access to KMS is not allowed", False),
        ("DecryptionFailure", "the key is disabled", False),
        ("InvalidRequestException", "You can't access a secret from a different AWS account", False),
        ("RegionDisabledException", "the region is disabled", False),
        ("403", "Forbidden", False),
    ],
)
def test_only_a_denial_that_aws_gives_for_any_name_counts_as_absence(code, sentence, absent):
    failure = from_code(code, sentence, operation="GetSecretValue", identity=OPERATOR, secret="app")
    error = failure_of(SecretRef(OPERATOR, "app"), failure, Empty())
    assert isinstance(error, Unlisted) == absent
