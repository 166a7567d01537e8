"""What the documents say is so: examples, tables and snippets are held against the code."""

import ast
import hashlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import orjson
import pytest
from attrs import evolve, fields_dict
from commit_samples import SAMPLES, OUTCOMES

import rrbackup
from rrbackup.cli.commands import program
from rrbackup.cli.exit_codes import MEANINGS
from rrbackup.config import Config, S3Settings, parse_config
from rrbackup.config_check import keys_of
from rrbackup.config_shapes import plain
