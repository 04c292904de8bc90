-- Run once, by psql as the superuser, when the data folder is made: a database for each service and two logins.
-- `stepwell_owner` migrates; `stepwell_runtime` owns nothing, so that row-level security holds for every service.
\set ON_ERROR_STOP on
\getenv owner_password STEPWELL_OWNER_PASSWORD
\getenv runtime_password STEPWELL_RUNTIME_PASSWORD
CREATE ROLE stepwell_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE stepwell_runtime LOGIN PASSWORD :'runtime_password';
CREATE DATABASE stepwell_screening OWNER stepwell_owner TEMPLATE template0 ENCODING UTF8;
CREATE DATABASE stepwell_routing OWNER stepwell_owner TEMPLATE template0 ENCODING UTF8;
CREATE DATABASE stepwell_referral OWNER stepwell_owner TEMPLATE template0 ENCODING UTF8;
CREATE DATABASE stepwell_measurement OWNER stepwell_owner TEMPLATE template0 ENCODING UTF8;
REVOKE ALL ON DATABASE stepwell_screening, stepwell_routing, stepwell_referral, stepwell_measurement FROM PUBLIC;
GRANT CONNECT ON DATABASE stepwell_screening, stepwell_routing, stepwell_referral, stepwell_measurement
  TO stepwell_runtime;
