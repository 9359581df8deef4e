"""`secretsyncer iam-policy`: the smallest policies that SyncedSecrets need, by role."""

import pytest

from secretsyncer.commands.iam_policy import policies
from tests.support.builders import synced_secret
from tests.support.specs import PGBOUNCER, key, literal, parameter, template, whole

HERE = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
ROLE = "arn:aws:iam::123456789012:role/reader"
READ = "secretsmanager:GetSecretValue"
BATCH = {"Effect": "Allow", "Action": "secretsmanager:BatchGetSecretValue", "Resource": "*"}
LIST = {"Effect": "Allow", "Action": "secretsmanager:ListSecrets", "Resource": "*"}


@pytest.fixture
def needed(engine):
    def ran(*objects, account="123456789012"):
        found = policies(list(objects), engine, partition="aws", region="eu-west-1", account=account)
        return found.documents, [*found.failures, *found.notes]

    return ran


@pytest.fixture
def reads(needed):
    """What the role of one spec must be allowed to do, beyond batches; nothing may be left unforeseen."""

    def ran(*items, **spec):
        documents, problems = needed(synced_secret(*items, **{"IAMRole": "reader", **spec}))
        assert problems == []
        assert documents["operator"]["Statement"] == [
            LIST,
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [ROLE]},
        ]
        assert documents[ROLE]["Version"] == "2012-10-17"
        batch, *rest = documents[ROLE]["Statement"]
        assert batch == BATCH
        return rest

    return ran


def allow(resource, **more):
    return {"Effect": "Allow", "Action": READ, "Resource": resource, **more}


def test_named_secrets_are_allowed_one_by_one_with_any_suffix(reads):
    items = [key("a", "web/db", "x"), key("b", "web/db", "y"), whole("c", "web/cert"), literal("d", "e")]
    assert reads(*items, dataFrom={"secretRefs": [{"name": "web/config"}]}) == [
        allow([f"{HERE}web/cert-??????", f"{HERE}web/config-??????", f"{HERE}web/db-??????"])
    ]


def test_arns_stay_as_they_are_and_regions_go_into_those_that_are_made(reads):
    foreign = "arn:aws:secretsmanager:us-east-1:222222222222:secret:db"
    there = {"name": "c", "valueFrom": {"secretRef": {"name": "db", "region": "us-east-2"}}}
    assert reads(whole("a", f"{foreign}-AbCdEf"), whole("b", foreign), there, region="eu-central-1") == [
        allow(
            [
                f"{foreign}-??????",
                f"{foreign}-AbCdEf",
                "arn:aws:secretsmanager:us-east-2:123456789012:secret:db-??????",
            ]
        )
    ]


@pytest.mark.parametrize(
    ("find", "expected"),
    [
        ({"name": {"prefix": "web/"}}, allow([f"{HERE}web/*"])),
        ({"name": {"regexp": "^web/"}}, allow([f"{HERE}*"])),
        ({"tagKey": "t"}, allow(f"{HERE}*", Condition={"Null": {"secretsmanager:ResourceTag/t": "false"}})),
        (
            {"tags": {"a": "1", "b": "2"}, "tagKey": "t", "name": {"prefix": "web/"}},
            allow(
                f"{HERE}web/*",
                Condition={
                    "Null": {"secretsmanager:ResourceTag/t": "false"},
                    "StringEquals": {"secretsmanager:ResourceTag/a": "1", "secretsmanager:ResourceTag/b": "2"},
                },
            ),
        ),
    ],
)
def test_a_search_is_allowed_as_narrow_as_it_is(reads, find, expected):
    assert reads(dataFrom={"find": find}) == [expected]


def test_the_filter_of_a_template_is_allowed_by_its_tag(reads):
    condition = {"Null": {"secretsmanager:ResourceTag/tag1": "false"}}
    assert reads(template("x", PGBOUNCER)) == [allow(f"{HERE}*", Condition=condition)]


def test_what_a_template_names_is_allowed_and_what_it_may_name_later_is_reported(needed):
    documents, problems = needed(synced_secret(template("x", '{{ getSecretValue "web/db" }}'), IAMRole="reader"))
    assert documents[ROLE]["Statement"] == [BATCH, allow([f"{HERE}web/db-??????"])]
    assert len(problems) == 1
    assert problems[0].startswith("team/demo: the policy has the secrets that a template names")


def test_account_mode_reads_tags_too(needed):
    documents, _ = needed(synced_secret(whole("a", "web/db"), AWSAccountID="333333333333"))
    assert documents["arn:aws:iam::333333333333:role/secret-syncer"]["Statement"][1] == {
        "Effect": "Allow",
        "Action": [READ, "secretsmanager:DescribeSecret"],
        "Resource": ["arn:aws:secretsmanager:eu-west-1:333333333333:secret:web/db-??????"],
    }


def test_without_a_role_the_operator_itself_reads_and_one_role_has_one_policy(needed):
    documents, problems = needed(
        synced_secret(whole("a", "one")),
        synced_secret(whole("a", "two"), IAMRole="reader"),
        synced_secret(whole("a", "three"), IAMRole=ROLE),
        synced_secret(name="wrong", data=5),
    )
    assert documents["operator"]["Statement"] == [
        LIST,
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [ROLE]},
        BATCH,
        allow([f"{HERE}one-??????"]),
    ]
    assert documents[ROLE]["Statement"][1] == allow([f"{HERE}three-??????", f"{HERE}two-??????"])
    assert [problem.partition(":")[0] for problem in problems] == ["team/wrong"]


@pytest.mark.parametrize(
    ("role", "arn"),
    [
        ("reader", ROLE),
        ("/team/reader", "arn:aws:iam::123456789012:role/team/reader"),
        ("team/reader", "arn:aws:iam::123456789012:role/team/reader"),
        ("arn:aws-cn:iam::222222222222:role/reader", "arn:aws-cn:iam::222222222222:role/reader"),
    ],
)
def test_roles_are_completed_as_the_operator_does_it_and_resources_are_of_their_partition_and_account(
    needed, role, arn
):
    documents, problems = needed(synced_secret(whole("a", "web/db"), IAMRole=role))
    assert problems == []
    _, partition, _, _, account, _ = arn.split(":")
    assert documents[arn]["Statement"][1]["Resource"] == [
        f"arn:{partition}:secretsmanager:eu-west-1:{account}:secret:web/db-??????"
    ]


def test_an_account_that_is_not_known_stays_open(needed):
    documents, _ = needed(synced_secret(whole("a", "web/db"), IAMRole="/team/reader"), account="*")
    assert documents["arn:aws:iam::*:role/team/reader"]["Statement"][1]["Resource"] == [
        "arn:aws:secretsmanager:eu-west-1:*:secret:web/db-??????"
    ]


@pytest.mark.parametrize(
    "role", ["arn:aws:iam::1:role/x", "arn:aws:iam::123456789012:user/x", "two words", "x\n", "arn:aws:s3:::bucket"]
)
def test_what_is_not_a_role_gets_no_policy(needed, role):
    documents, (problem,) = needed(synced_secret(whole("a", "web/db"), IAMRole=role))
    assert documents.keys() == {"operator"}
    assert documents["operator"]["Statement"] == [LIST]
    assert problem.startswith("team/demo: spec.IAMRole: ")


@pytest.mark.parametrize(
    ("name", "resources"),
    [
        (f"{HERE}mysql-backup", [f"{HERE}mysql-backup", f"{HERE}mysql-backup-??????"]),
        (f"{HERE}mysql-AbC123", [f"{HERE}mysql-AbC123"]),
        (f"{HERE}mysql", [f"{HERE}mysql-??????"]),
        ("mysql-backup", [f"{HERE}mysql-backup-??????"]),
    ],
)
def test_a_partial_arn_that_ends_like_a_full_one_is_allowed_as_both(reads, name, resources):
    assert reads(whole("a", name)) == [allow(resources)]


@pytest.mark.parametrize("absence", [{"optional": True}, {"default": "x"}])
def test_a_secret_that_may_be_missing_is_allowed_without_its_suffix_too(reads, absence):
    item = {"name": "a", "valueFrom": {"secretRef": {"name": "web/db", **absence}}}
    assert reads(item) == [allow([f"{HERE}web/db", f"{HERE}web/db-??????"])]


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (whole("a", "two words"), "spec.data[0].valueFrom.secretRef.name: must be the name of an AWS secret"),
        (template("a", '{{ getSecretValue "two words" }}'), "'two words' is not the name of a secret (1 to 512 of"),
    ],
)
def test_what_is_not_a_secrets_name_gets_no_policy(needed, item, problem):
    documents, problems = needed(synced_secret(item, IAMRole="reader"), synced_secret(whole("a", "b"), name="good"))
    assert documents["operator"]["Statement"] == [LIST, BATCH, allow([f"{HERE}b-??????"])]
    assert len(problems) == 1
    assert problems[0].startswith(f"team/demo: {problem}")


FAR = "arn:aws:secretsmanager:xx-west-1:123456789012:secret:db"


@pytest.mark.parametrize(
    ("item", "spec"),
    [
        (whole("a", "db"), {"region": "xx-west-1"}),
        ({"name": "a", "valueFrom": {"secretRef": {"name": "db", "region": "xx-west-1"}}}, {}),
        (whole("a", FAR), {}),
        (template("a", f'{{{{ getSecretValue "{FAR}" }}}}'), {}),
        (template("a", '{{ getSecretValue "db" }}'), {"region": "xx-west-1"}),
    ],
)
def test_a_region_that_the_operator_would_not_read_gets_no_policy(needed, item, spec):
    documents, (problem,) = needed(synced_secret(item, IAMRole="reader", **spec))
    assert documents["operator"]["Statement"] == [LIST]
    assert "'xx-west-1' is not an AWS region" in problem


def test_a_template_over_the_data_of_its_object_reads_nothing_itself(reads):
    item = {"name": "user", "templateOnly": True, "valueFrom": {"secretKeyRef": {"name": "one", "key": "user"}}}
    assert reads(item, template("x", "{{ (fromJson .Data.user).x }}{{ .Data.other }}")) == [
        allow([f"{HERE}one-??????"])
    ]


def test_a_template_is_allowed_all_that_it_names(needed):
    text = '{{ getSecretValue "one" }}{{ getSecretKey "two" "k" }}{{ getParameter "/three" }}'
    documents, _ = needed(synced_secret(template("t", text), IAMRole="reader"))
    _, secrets, parameters = documents[ROLE]["Statement"]
    assert secrets["Resource"] == [f"{HERE}one-??????", f"{HERE}two-??????"]
    assert parameters["Resource"] == [f"{PARAMETERS}three"]


# Parameters

PARAMETERS = "arn:aws:ssm:eu-west-1:123456789012:parameter/"
DESCRIBE = {"Effect": "Allow", "Action": "ssm:DescribeParameters", "Resource": "*"}


def get(*names):
    return {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": [f"{PARAMETERS}{name}" for name in names]}


def test_parameters_are_allowed_one_by_one_and_a_path_as_a_whole(needed):
    shared = "arn:aws:ssm:us-east-1:222222222222:parameter/theirs"
    documents, problems = needed(
        synced_secret(
            parameter("a", "/app/a"),
            parameter("b", "plain", version=3),
            parameter("c", shared),
            parameter("d", "/far", region="us-east-2"),
            template("t", '{{ range getParameters "/hosts" }}{{ . }}{{ end }}'),
            IAMRole="reader",
            dataFrom={"parameters": [{"path": "/app/prod/"}, {"name": "/config"}]},
        )
    )
    assert documents["operator"]["Statement"][:2] == [LIST, DESCRIBE]
    far = "arn:aws:ssm:us-east-2:123456789012:parameter/far"
    named = get("app/a", "app/prod/*", "config", "hosts/*", "plain")
    assert documents[ROLE]["Statement"] == [named | {"Resource": sorted([*named["Resource"], shared, far])}]
    assert all("the policy has" in problem for problem in problems)


def test_the_keys_of_parameters_may_be_used_through_parameter_store_only(engine):
    key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1"
    objects = [synced_secret(parameter("a", "/a"), IAMRole="reader")]
    place = {"partition": "aws", "region": "eu-west-1", "account": "123456789012"}
    found = policies(objects, engine, **place, keys=[key_arn])
    assert found.documents[ROLE]["Statement"] == [
        get("a"),
        {
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": [key_arn],
            "Condition": {"StringLike": {"kms:ViaService": ["ssm.eu-west-1.amazonaws.com"]}},
        },
    ]


def test_account_mode_reads_the_tags_of_parameters(needed):
    documents, _ = needed(synced_secret(parameter("a", "/a"), AWSAccountID="123456789012"))
    (statement,) = documents["arn:aws:iam::123456789012:role/secret-syncer"]["Statement"]
    assert statement["Action"] == ["ssm:GetParameters", "ssm:ListTagsForResource"]


def test_without_parameters_nothing_is_said_of_them(needed):
    documents, _ = needed(synced_secret(whole("a", "app"), IAMRole="reader"))
    assert "ssm" not in str(documents)
