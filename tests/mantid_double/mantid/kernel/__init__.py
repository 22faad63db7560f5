"""What `mantid.kernel` offers: enumerations, properties of plain type, validators, logger, configuration."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

_KERNEL = "mantid.kernel._kernel"


class ArgumentError(TypeError):
    """Boost.Python's refusal of arguments that fit no C++ signature."""


ArgumentError.__module__ = "Boost.Python"


class BoostEnum(int):
    """A Boost.Python enumeration: an int that prints as its qualified name."""

    names: ClassVar[dict[str, Any]] = {}
    name: str

    def __new__(cls, value: Any, name: Any) -> Any:
        self = int.__new__(cls, value)
        self.name = name
        return self

    def __repr__(self) -> Any:
        return f"{type(self).__module__}.{type(self).__name__}.{self.name}"

    __str__ = __repr__


def enumeration(title: Any, module: Any, **members: Any) -> Any:
    """Make an enumeration class with its members as attributes."""
    cls: Any = type(title, (BoostEnum,), {"__module__": module})
    cls.names = {name: cls(value, name) for name, value in members.items()}
    for name, member in cls.names.items():
        setattr(cls, name, member)
    return cls


Direction = enumeration("Direction", _KERNEL, Input=0, Output=1, InOut=2)
PropertyCriterion = enumeration(
    "PropertyCriterion", _KERNEL, IsDefault=0, IsNotDefault=1, IsEqualTo=2, IsNotEqualTo=3, IsMoreOrEqual=4
)


# --- messages that several places share ---
STRING = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"


def no_converter(cpp: Any, value: Any) -> Any:
    """Return the TypeError of a value that Boost cannot turn into a C++ type."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ != "numpy" else f"numpy.{kind.__name__}".replace("bool_", "bool")
    return TypeError(
        f"No registered converter was able to produce a C++ rvalue of type {cpp} from this Python object of type {name}"  # noqa: E501
    )


def number_text(value: Any) -> Any:
    """Print a number as Mantid's properties do."""
    return str(value) if isinstance(value, int) else format(value, ".17g")


# --- logging ---
class Logger:
    """Messages of the form Name-[Level] text on stderr."""

    levels: ClassVar = {"fatal": 1, "error": 3, "warning": 4, "notice": 5, "information": 6, "debug": 7}

    def __init__(self, name: Any) -> None:
        self.name = name
        self.enabled = True

    def _write(self, level: Any, text: Any) -> None:
        if not isinstance(text, str):
            raise ArgumentError(
                "Python argument types in\n"
                f"    Logger.{level}(Logger, {type(text).__name__})\n"
                "did not match C++ signature:\n"
                f"    {level}(Mantid::Kernel::Logger {{lvalue}} self, {STRING} message)"
            )
        if self.enabled and self.levels[level] <= config.level:
            print(
                "\n".join(f"{self.name}-[{level.capitalize()}] {line}" for line in text.split("\n")),
                file=sys.stderr,
            )

    def fatal(self, text: Any) -> None:
        self._write("fatal", text)

    def error(self, text: Any) -> None:
        self._write("error", text)

    def warning(self, text: Any) -> None:
        self._write("warning", text)

    def notice(self, text: Any) -> None:
        self._write("notice", text)

    def information(self, text: Any) -> None:
        self._write("information", text)

    def debug(self, text: Any) -> None:
        self._write("debug", text)


_SETTING = re.compile(
    r"\s*(?:[#!][^\r\n]*|([^=:\r\n]+)(?:[=:]((?:\\(?:\r\n|[\s\S])|[^\\\r\n])*))?)", re.ASCII
)
_ESCAPES = {"\n": "", "\r": "", "\r\n": "", "n": "\n", "r": "\r", "t": "\t", "f": "\f"}


def read_properties(text: Any) -> Any:
    """Parse what stands in front of the first backtick, by Poco's rules: nothing behind it exists."""
    return {
        key.strip(): re.sub(r"\\(\r\n|[\s\S])", lambda match: _ESCAPES.get(match[1], match[1]), value).strip()
        for key, value in _SETTING.findall(text.partition("`")[0])
        if key.strip()
    }


class ConfigServiceImpl:
    """The configuration: log level, data directories and the user's property file, read at the start."""

    def __init__(self) -> None:
        self.level = 5
        self.directories: list[Any] = []
        file = Path(self.getUserFilename())
        self.properties = read_properties(file.read_text(errors="surrogateescape")) if file.is_file() else {}

    def setLogLevel(self, logLevel: Any, quiet: bool = False) -> None:
        if not isinstance(logLevel, int):
            raise ArgumentError(
                "Python argument types in\n"
                f"    ConfigServiceImpl.setLogLevel(ConfigServiceImpl, {type(logLevel).__name__})\n"
                "did not match C++ signature:\n"
                "    setLogLevel(Mantid::Kernel::ConfigServiceImpl {lvalue} self, int logLevel, bool quiet=False)"  # noqa: E501
            )
        self.level = logLevel

    def appendDataSearchDir(self, path: Any) -> None:
        self.directories.append(path)

    def getDataSearchDirs(self) -> Any:
        return list(self.directories)

    def getString(self, key: Any) -> Any:
        return self.properties.get(key, "")

    def __getitem__(self, key: Any) -> Any:
        return self.getString(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.properties[key] = value

    def getUserPropertiesDir(self) -> Any:
        return str(Path("~/.mantid").expanduser()) + os.sep

    def getUserFilename(self) -> Any:
        return self.getUserPropertiesDir() + "Mantid.user.properties"


config = ConfigServiceImpl()
ConfigService = config
logger = Logger("Python")


def version_str() -> Any:
    """Return the version that the recordings were made with."""
    return "3.13.20190108"


# --- validators ---
class IValidator:
    """What a property asks before it takes a value: an empty text is a yes."""

    accepts = (object,)

    def check(self, value: Any) -> Any:
        if not isinstance(value, self.accepts) or (isinstance(value, bool) and bool not in self.accepts):
            return "Value was not of expected type."
        return self.judge(value)

    def judge(self, value: Any) -> Any:
        return ""

    def allowed(self) -> Any:
        return []


class _Bounded(IValidator):
    def __init__(self, lower: Any = None, upper: Any = None, exclusive: bool = False) -> None:
        self.lower, self.upper, self.exclusive = lower, upper, exclusive

    def judge(self, value: Any) -> Any:
        if self.lower is not None and (value < self.lower or (self.exclusive and value == self.lower)):
            return f"Selected value {number_text(value)} is < the lower bound ({number_text(self.lower)})"
        if self.upper is not None and (value > self.upper or (self.exclusive and value == self.upper)):
            return f"Selected value {number_text(value)} is > the upper bound ({number_text(self.upper)})"
        return ""


class FloatBoundedValidator(_Bounded):
    accepts = (float,)


class IntBoundedValidator(_Bounded):
    accepts = (int,)


class StringListValidator(IValidator):
    accepts = (str,)

    def __init__(self, allowedValues: Any = ()) -> None:
        self.values = list(allowedValues)
        if not all(isinstance(value, str) for value in self.values):
            raise TypeError("StringListValidator takes strings")

    def judge(self, value: Any) -> Any:
        return "" if value in self.values else f'The value "{value}" is not in the list of allowed values'

    def allowed(self) -> Any:
        return list(self.values)


class StringMandatoryValidator(IValidator):
    accepts = (str,)

    def judge(self, value: Any) -> Any:
        return "" if value else "A value must be entered for this parameter"


class FloatArrayLengthValidator(IValidator):
    def __init__(self, length: Any) -> None:
        self.length = length

    def judge(self, value: Any) -> Any:
        return "" if len(value) == self.length else "Incorrect size"


class CompositeValidator(IValidator):
    def __init__(self, validators: Any = ()) -> None:
        self.validators = list(validators)

    def add(self, validator: Any) -> None:
        self.validators.append(validator)

    def check(self, value: Any) -> Any:
        return next((text for v in self.validators if (text := v.check(value))), "")

    def allowed(self) -> Any:
        return next((values for v in self.validators if (values := v.allowed())), [])


class EnabledWhenProperty:
    """When the dialog lets the user edit a property."""

    def __init__(self, otherPropName: Any, when: Any, value: str = "") -> None:
        if (
            not isinstance(otherPropName, str)
            or not isinstance(when, PropertyCriterion)
            or not isinstance(value, str)
        ):
            raise ArgumentError("EnabledWhenProperty takes (str, PropertyCriterion[, str])")
        self.other, self.when, self.value = otherPropName, when, value


class VisibleWhenProperty(EnabledWhenProperty):
    """When the dialog shows a property."""


# --- properties of plain type ---
class Property:
    """A named value with a type, a direction, a default and a validator."""

    EMPTY_DBL = 8.9884656743115785e307
    EMPTY_INT = 2147483647
    EMPTY_LONG = 9223372036854775807
    type = "string"

    def __init__(
        self, name: Any, default: Any, validator: Any = None, doc: str = "", direction: Any = Direction.Input
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ArgumentError("the name of a property is a string that is not empty")
        self.name, self.validator, self.documentation, self.direction = name, validator, doc, direction
        self.settings, self.group, self.units = None, "", ""
        self._value = self.default = default
        self.touched = False

    @property
    def value(self) -> Any:
        return self._value

    @property
    def valueAsStr(self) -> Any:
        return self.text(self._value)

    @property
    def getDefault(self) -> Any:
        return self.text(self.default)

    @property
    def getGroup(self) -> Any:
        return self.group

    @property
    def isDefault(self) -> Any:
        return self.text(self._value) == self.text(self.default)

    @property
    def isValid(self) -> Any:
        return self.validator.check(self._value) if self.validator is not None else ""

    @property
    def allowedValues(self) -> Any:
        return self.validator.allowed() if self.validator is not None else []

    def text(self, value: Any) -> Any:
        return value

    def convert(self, value: Any) -> Any:
        """Turn a Python object into a value, or raise TypeError."""
        return value

    def parse(self, text: Any) -> Any:
        """Turn text into a value, or raise ValueError."""
        return text

    def accept(self, value: Any) -> None:
        """Take a value; ValueError with Mantid's words where the validator says no."""
        problem = self.validator.check(value) if self.validator is not None else ""
        if problem:
            raise ValueError(f'When setting value of property "{self.name}": {problem}')
        self._value = value

    def set_object(self, value: Any) -> None:
        """setProperty with something that is no string."""
        converted = self.convert(value)
        try:
            self.accept(converted)
        except ValueError as error:
            raise ValueError(f'When converting parameter "{self.name}": {error}') from None

    def set_text(self, text: Any) -> None:
        """setPropertyValue: setProperty with a string."""
        if not isinstance(text, str):
            raise no_converter(STRING, text)
        try:
            self.accept(self.parse(text))
        except ValueError as error:
            raise ValueError(
                f'Invalid value for property {self.name} ({self.type}) "{text}": {error}'
            ) from None

    def cannot(self, text: Any) -> Any:
        return ValueError(f'Could not set property {self.name}. Can not convert "{text}" to {self.type}')


class StringPropertyWithValue(Property):
    def convert(self, value: Any) -> None:
        raise no_converter(STRING, value)


class FloatPropertyWithValue(Property):
    type = "number"

    def text(self, value: Any) -> Any:
        return number_text(float(value))

    def convert(self, value: Any) -> Any:
        if (isinstance(value, (float, int)) and not isinstance(value, np.generic)) or isinstance(
            value, np.float64
        ):
            return float(value)
        raise no_converter("double", value)

    def parse(self, text: Any) -> Any:
        try:
            return float(text)
        except ValueError:
            raise self.cannot(text) from None


class LongPropertyWithValue(Property):
    type = "number"

    def text(self, value: Any) -> Any:
        return str(int(value))

    def convert(self, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, np.generic):
            if not -(2**63) <= value < 2**63:
                raise OverflowError("Python int too large to convert to C long")
            return int(value)
        raise no_converter("long", value)

    def parse(self, text: Any) -> Any:
        try:
            return int(text)
        except ValueError:
            raise self.cannot(text) from None


class BoolPropertyWithValue(Property):
    type = "boolean"

    def text(self, value: Any) -> Any:
        return "1" if value else "0"

    def convert(self, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, np.generic):
            return bool(value)
        raise no_converter("bool", value)

    def parse(self, text: Any) -> Any:
        if text not in ("0", "1"):
            raise self.cannot(text)
        return text == "1"


class _Array(Property):
    scalar: type = Property
    dtype: Any

    def __init__(
        self,
        name: Any,
        default: Any = (),
        validator: Any = None,
        doc: str = "",
        direction: Any = Direction.Input,
    ) -> None:
        super().__init__(name, [], validator, doc, direction)
        self._value = self.default = self.parse(default) if isinstance(default, str) else list(default)

    @property
    def value(self) -> Any:
        return np.array(self._value, dtype=self.dtype)

    def text(self, value: Any) -> Any:
        return ",".join(self.scalar("x", 0).text(item) for item in value)

    def convert(self, value: Any) -> Any:
        one = self.scalar(self.name, 0)
        items = value.ravel() if isinstance(value, np.ndarray) else value
        return [one.convert(item.item() if isinstance(item, np.generic) else item) for item in items]

    def parse(self, text: Any) -> Any:
        one = self.scalar(self.name, 0)
        return [one.parse(part.strip()) for part in text.split(",") if part.strip()]


class FloatArrayProperty(_Array):
    type, scalar, dtype = "dbl list", FloatPropertyWithValue, np.float64

    def text(self, value: Any) -> Any:
        return ",".join(format(item, "g") for item in value)  # 6 digits, as a C++ stream prints them


class IntArrayProperty(_Array):
    type, scalar, dtype = "int list", LongPropertyWithValue, np.int64

    def parse(self, text: Any) -> Any:
        values = []
        for part in text.split(","):
            first, dash, last = (
                part.strip().partition("-") if not part.strip().startswith("-") else (part, "", "")
            )
            values += (
                list(range(int(first), int(last) + 1)) if dash else ([int(part)] if part.strip() else [])
            )
        return values


class StringArrayProperty(Property):
    type = "str list"

    def __init__(
        self,
        name: Any,
        values: Any = (),
        validator: Any = None,
        direction: Any = Direction.Input,
        doc: str = "",
    ) -> None:
        if isinstance(values, IValidator):
            values, validator = (), values
        if isinstance(validator, Direction):
            validator, direction = None, validator
        super().__init__(name, [], validator, doc, direction)
        self._value = self.default = self.parse(values) if isinstance(values, str) else list(values)

    @property
    def value(self) -> Any:
        return list(self._value)

    def text(self, value: Any) -> Any:
        return ",".join(value)

    def convert(self, value: Any) -> Any:
        items = list(value)
        for item in items:
            if not isinstance(item, str):
                raise no_converter(STRING, item)
        return items

    def parse(self, text: Any) -> Any:
        return [part.strip() for part in text.split(",")] if text else []


def property_for(name: Any, default: Any, validator: Any, doc: Any, direction: Any) -> Any:
    """Choose the property of a default value's Python type."""
    plain = {
        bool: BoolPropertyWithValue,
        int: LongPropertyWithValue,
        float: FloatPropertyWithValue,
        str: StringPropertyWithValue,
    }
    kind = type(default)
    if kind in plain:
        return plain[kind](name, default, validator, doc, direction)
    if kind in (list, tuple):
        if not default:
            raise RuntimeError("Cannot have a sequence type of length zero in a mapping type.")
        arrays = {int: IntArrayProperty, float: FloatArrayProperty}
        if isinstance(default[0], str):
            return StringArrayProperty(name, default, validator, direction, doc)
        return arrays[type(default[0])](name, default, validator, doc, direction)
    title = f"numpy.{kind.__name__}" if kind.__module__ == "numpy" else kind.__name__
    raise ValueError(
        f"Cannot create PropertyWithValue from Python type {title}. No converter registered in PropertyWithValueFactory."  # noqa: E501
    )


class DataItem:
    """Anything that the data service can hold."""


class VMD:
    """A point in the space of a workspace."""

    def __init__(self, values: Any) -> None:
        self._values = list(values)

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]


class V3D:
    """A vector of three numbers."""

    def __init__(self, x: Any = 0.0, y: Any = 0.0, z: Any = 0.0) -> None:
        self.xyz = (x, y, z)

    def __repr__(self) -> Any:
        return "[" + ",".join(format(value, "g") for value in self.xyz) + "]"


for _thing in (
    DataItem,
    VMD,
    V3D,
    Logger,
    ConfigServiceImpl,
    Property,
    EnabledWhenProperty,
    VisibleWhenProperty,
):
    _thing.__module__ = _KERNEL
