from tests.support.portal_fixtures import *  # noqa: F403
