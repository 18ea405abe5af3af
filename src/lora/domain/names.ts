/** What may be named, and how long a free text may be. Lengths count Unicode code points. */

export const DEFAULT_FLEET = 'default';

export const FLEET_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/;

export const ADAPTER_VERSION_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:+@-]{0,127}$/;

export const REASON_MAX = 500;

export const REFERENCE_MAX = 200;
