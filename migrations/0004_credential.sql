-- When what the agent signs in with ends, as far as it knows: `client_secret` or `certificate`, and its end. In the row of
-- the agent, because programs beside it need not be able to read the secret or the certificate.
ALTER TABLE agent ADD COLUMN credential TEXT;
ALTER TABLE agent ADD COLUMN credential_expires TEXT CHECK ((credential IS NULL) = (credential_expires IS NULL));
