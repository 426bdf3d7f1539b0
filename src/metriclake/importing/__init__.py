"""
Importing: what other systems' templates say, as a pipeline file.

CloudFormation, SAM and serverless.yml, with their rules of EventBridge and their delivery streams of Firehose. Pure: a
text and parameters go in, a pipeline file's text and a list of what could not be carried over come out.
"""

from metriclake.importing.importer import Imported, Wishes, import_template
from metriclake.importing.limits import MOST_BYTES
from metriclake.importing.template import NotCarried

__all__ = ["MOST_BYTES", "Imported", "NotCarried", "Wishes", "import_template"]
