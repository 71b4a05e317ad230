//! What projects use. Nothing is used by itself: tests say what was, so that they know what it costs.

use async_graphql::Enum;
use serde::Deserialize;

/// What is measured: vCPUs and GB by the minute, traffic in GB (facts/railway.md 2.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[graphql(name = "MetricMeasurement")]
#[allow(clippy::enum_variant_names)]
pub(crate) enum Measurement {
    BackupUsageGb,
    CpuLimit,
    CpuUsage,
    #[serde(rename = "CPU_USAGE_2")]
    #[graphql(name = "CPU_USAGE_2")]
    CpuUsage2,
    DiskUsageGb,
    EphemeralDiskUsageGb,
    MeasurementUnspecified,
    MemoryLimitGb,
    MemoryUsageGb,
    NetworkRxGb,
    NetworkTxGb,
    Unrecognized,
}
