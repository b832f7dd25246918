//! The words of sensor data and control in one dialect: the same tree, other names.

/// The names of elements and attributes. Each is a name that XML allows.
pub(crate) struct Dialect {
    pub(crate) ns: &'static str,
    /// What a read-out is known by, in everything that belongs to it.
    pub(crate) id: &'static str,
    /// Data; and what became of a command, with the parameters that it names.
    pub(crate) fields: &'static str,
    pub(crate) set_response: &'static str,
    pub(crate) parameter: &'static str,
    pub(crate) parameter_error: &'static str,
    /// A reference to a node: element, and its three attributes.
    pub(crate) node: &'static str,
    pub(crate) node_id: &'static str,
    pub(crate) source: &'static str,
    pub(crate) partition: &'static str,
    /// Access tokens.
    pub(crate) service_token: &'static str,
    pub(crate) device_token: &'static str,
    pub(crate) user_token: &'static str,
    /// A field by its name, in a request.
    pub(crate) field: &'static str,
    /// A timestamp: element, and its attribute.
    pub(crate) timestamp: &'static str,
    /// What every field or parameter has.
    pub(crate) name: &'static str,
    pub(crate) value: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) data_type: &'static str,
    pub(crate) module: &'static str,
    pub(crate) string_ids: &'static str,
    pub(crate) writable: &'static str,
    /// The elements of the types.
    pub(crate) boolean: &'static str,
    pub(crate) color: &'static str,
    pub(crate) date: &'static str,
    pub(crate) date_time: &'static str,
    pub(crate) double: &'static str,
    pub(crate) duration: &'static str,
    pub(crate) enumeration: &'static str,
    pub(crate) int: &'static str,
    pub(crate) long: &'static str,
    pub(crate) numeric: &'static str,
    pub(crate) string: &'static str,
    pub(crate) time: &'static str,
    /// Whether these are the short names; flags have theirs, too.
    pub(crate) short: bool,
}

impl Dialect {
    /// The long names of XEP-0323 and XEP-0325.
    pub(crate) const fn long(ns: &'static str) -> Self {
        Self {
            ns,
            id: "seqnr",
            fields: "fields",
            set_response: "setResponse",
            parameter: "parameter",
            parameter_error: "error",
            node: "node",
            node_id: "nodeId",
            source: "sourceId",
            partition: "cacheType",
            service_token: "serviceToken",
            device_token: "deviceToken",
            user_token: "userToken",
            field: "field",
            timestamp: "timestamp",
            name: "name",
            value: "value",
            unit: "unit",
            data_type: "dataType",
            module: "module",
            string_ids: "stringIds",
            writable: "writable",
            boolean: "boolean",
            color: "color",
            date: "date",
            date_time: "dateTime",
            double: "double",
            duration: "duration",
            enumeration: "enum",
            int: "int",
            long: "long",
            numeric: "numeric",
            string: "string",
            time: "time",
            short: false,
        }
    }

    /// The short names of IEEE P1451-99.
    pub(crate) const fn compact(ns: &'static str) -> Self {
        Self {
            ns,
            id: "id",
            fields: "resp",
            set_response: "resp",
            parameter: "p",
            parameter_error: "paramError",
            node: "nd",
            node_id: "id",
            source: "src",
            partition: "pt",
            service_token: "st",
            device_token: "dt",
            user_token: "ut",
            field: "f",
            timestamp: "ts",
            name: "n",
            value: "v",
            unit: "u",
            data_type: "t",
            module: "lns",
            string_ids: "loc",
            writable: "ctr",
            boolean: "b",
            color: "cl",
            date: "d",
            date_time: "dt",
            double: "db",
            duration: "dr",
            enumeration: "e",
            int: "i",
            long: "l",
            numeric: "q",
            string: "s",
            time: "t",
            short: true,
        }
    }
}
