//! The numbers of messages and parameters, and what the protocol calls them.

macro_rules! table {
    ($(#[$doc:meta])* $of:ident, $other:literal: $($name:ident = $number:literal $said:literal,)*) => {
        $(pub(in super::super) const $name: u16 = $number;)*

        $(#[$doc])*
        pub(in super::super) const fn $of(kind: u16) -> &'static str {
            match kind {
                $($name => $said,)*
                _ => $other,
            }
        }
    };
}

pub(super) mod kind {
    table! {
        /// What a message of that type is called.
        message, "a message of an unknown type":
        GET_READER_CAPABILITIES = 1 "GET_READER_CAPABILITIES",
        GET_READER_CONFIG = 2 "GET_READER_CONFIG",
        SET_READER_CONFIG = 3 "SET_READER_CONFIG",
        CLOSE_CONNECTION_RESPONSE = 4 "CLOSE_CONNECTION_RESPONSE",
        GET_READER_CAPABILITIES_RESPONSE = 11 "GET_READER_CAPABILITIES_RESPONSE",
        GET_READER_CONFIG_RESPONSE = 12 "GET_READER_CONFIG_RESPONSE",
        SET_READER_CONFIG_RESPONSE = 13 "SET_READER_CONFIG_RESPONSE",
        CLOSE_CONNECTION = 14 "CLOSE_CONNECTION",
        ADD_ROSPEC = 20 "ADD_ROSPEC",
        DELETE_ROSPEC = 21 "DELETE_ROSPEC",
        START_ROSPEC = 22 "START_ROSPEC",
        STOP_ROSPEC = 23 "STOP_ROSPEC",
        ENABLE_ROSPEC = 24 "ENABLE_ROSPEC",
        DISABLE_ROSPEC = 25 "DISABLE_ROSPEC",
        ADD_ROSPEC_RESPONSE = 30 "ADD_ROSPEC_RESPONSE",
        DELETE_ROSPEC_RESPONSE = 31 "DELETE_ROSPEC_RESPONSE",
        START_ROSPEC_RESPONSE = 32 "START_ROSPEC_RESPONSE",
        STOP_ROSPEC_RESPONSE = 33 "STOP_ROSPEC_RESPONSE",
        ENABLE_ROSPEC_RESPONSE = 34 "ENABLE_ROSPEC_RESPONSE",
        DISABLE_ROSPEC_RESPONSE = 35 "DISABLE_ROSPEC_RESPONSE",
        RO_ACCESS_REPORT = 61 "RO_ACCESS_REPORT",
        KEEPALIVE = 62 "KEEPALIVE",
        READER_EVENT_NOTIFICATION = 63 "READER_EVENT_NOTIFICATION",
        ENABLE_EVENTS_AND_REPORTS = 64 "ENABLE_EVENTS_AND_REPORTS",
        KEEPALIVE_ACK = 72 "KEEPALIVE_ACK",
        ERROR_MESSAGE = 100 "ERROR_MESSAGE",
        CUSTOM_MESSAGE = 1023 "CUSTOM_MESSAGE",
    }
}

pub(super) mod part {
    table! {
        /// What a parameter of that type is called.
        parameter, "a parameter of an unknown type":
        ANTENNA_ID = 1 "AntennaID",
        FIRST_SEEN_UTC = 2 "FirstSeenTimestampUTC",
        FIRST_SEEN_UPTIME = 3 "FirstSeenTimestampUptime",
        LAST_SEEN_UTC = 4 "LastSeenTimestampUTC",
        LAST_SEEN_UPTIME = 5 "LastSeenTimestampUptime",
        PEAK_RSSI = 6 "PeakRSSI",
        CHANNEL_INDEX = 7 "ChannelIndex",
        TAG_SEEN_COUNT = 8 "TagSeenCount",
        RO_SPEC_ID = 9 "ROSpecID",
        INVENTORY_PARAMETER_SPEC_ID = 10 "InventoryParameterSpecID",
        C1G2_CRC = 11 "C1G2_CRC",
        C1G2_PC = 12 "C1G2_PC",
        EPC_96 = 13 "EPC-96",
        SPEC_INDEX = 14 "SpecIndex",
        CLIENT_REQUEST_OP_SPEC_RESULT = 15 "ClientRequestOpSpecResult",
        ACCESS_SPEC_ID = 16 "AccessSpecID",
        OP_SPEC_ID = 17 "OpSpecID",
        C1G2_SINGULATION_DETAILS = 18 "C1G2SingulationDetails",
        C1G2_XPCW1 = 19 "C1G2XPCW1",
        C1G2_XPCW2 = 20 "C1G2XPCW2",
        UTC_TIMESTAMP = 128 "UTCTimestamp",
        UPTIME = 129 "Uptime",
        GENERAL_DEVICE_CAPABILITIES = 137 "GeneralDeviceCapabilities",
        RECEIVE_SENSITIVITY_TABLE_ENTRY = 139 "ReceiveSensitivityTableEntry",
        PER_ANTENNA_AIR_PROTOCOL = 140 "PerAntennaAirProtocol",
        GPIO_CAPABILITIES = 141 "GPIOCapabilities",
        LLRP_CAPABILITIES = 142 "LLRPCapabilities",
        RO_SPEC = 177 "ROSpec",
        RO_BOUNDARY_SPEC = 178 "ROBoundarySpec",
        RO_SPEC_START_TRIGGER = 179 "ROSpecStartTrigger",
        RO_SPEC_STOP_TRIGGER = 182 "ROSpecStopTrigger",
        AI_SPEC = 183 "AISpec",
        AI_SPEC_STOP_TRIGGER = 184 "AISpecStopTrigger",
        INVENTORY_PARAMETER_SPEC = 186 "InventoryParameterSpec",
        IDENTIFICATION = 218 "Identification",
        KEEPALIVE_SPEC = 220 "KeepaliveSpec",
        ANTENNA_PROPERTIES = 221 "AntennaProperties",
        EVENTS_AND_REPORTS = 226 "EventsAndReports",
        RO_REPORT_SPEC = 237 "ROReportSpec",
        TAG_REPORT_CONTENT_SELECTOR = 238 "TagReportContentSelector",
        TAG_REPORT_DATA = 240 "TagReportData",
        EPC_DATA = 241 "EPCData",
        READER_EVENT_NOTIFICATION_SPEC = 244 "ReaderEventNotificationSpec",
        EVENT_NOTIFICATION_STATE = 245 "EventNotificationState",
        READER_EVENT_NOTIFICATION_DATA = 246 "ReaderEventNotificationData",
        GPI_EVENT = 248 "GPIEvent",
        RO_SPEC_EVENT = 249 "ROSpecEvent",
        REPORT_BUFFER_LEVEL_WARNING_EVENT = 250 "ReportBufferLevelWarningEvent",
        REPORT_BUFFER_OVERFLOW_ERROR_EVENT = 251 "ReportBufferOverflowErrorEvent",
        READER_EXCEPTION_EVENT = 252 "ReaderExceptionEvent",
        ANTENNA_EVENT = 255 "AntennaEvent",
        CONNECTION_ATTEMPT_EVENT = 256 "ConnectionAttemptEvent",
        CONNECTION_CLOSE_EVENT = 257 "ConnectionCloseEvent",
        LLRP_STATUS = 287 "LLRPStatus",
        FIELD_ERROR = 288 "FieldError",
        PARAMETER_ERROR = 289 "ParameterError",
        CUSTOM = 1023 "a vendor's parameter",
    }
}

pub(super) use kind::message;
pub(super) use part::parameter;

/// The bytes that follow the type of a TV parameter; `None` if nobody knows.
pub(super) const fn tv_length(kind: u16) -> Option<usize> {
    Some(match kind {
        part::PEAK_RSSI => 1,
        part::ANTENNA_ID
        | part::CHANNEL_INDEX
        | part::TAG_SEEN_COUNT
        | part::INVENTORY_PARAMETER_SPEC_ID
        | part::C1G2_CRC
        | part::C1G2_PC
        | part::SPEC_INDEX
        | part::CLIENT_REQUEST_OP_SPEC_RESULT
        | part::OP_SPEC_ID
        | part::C1G2_XPCW1
        | part::C1G2_XPCW2 => 2,
        part::RO_SPEC_ID | part::ACCESS_SPEC_ID | part::C1G2_SINGULATION_DETAILS => 4,
        part::FIRST_SEEN_UTC
        | part::FIRST_SEEN_UPTIME
        | part::LAST_SEEN_UTC
        | part::LAST_SEEN_UPTIME => 8,
        part::EPC_96 => 12,
        _ => return None,
    })
}
