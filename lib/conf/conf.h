/*
 * conf - config.yaml as typed structs, through one option table.
 *
 * Unknown key: warning with line and column.  Wrong type or value, a key
 * given twice: error with file, line, column, key and what was expected.  An
 * explicit null is the default.  ${VAR} in any scalar and "!file path"
 * (relative to the file's folder, content trimmed) are expanded; see yamldoc.h
 * for what YAML we read.
 * Source: spec/bootstrap.md 3.1, and `identity` of older generations.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

struct conf_allowed {
	char	*ns;		/* "": our own; "*": any */
	char	*account;	/* "*": any */
};

/* A bool whose absence means something of its own. */
enum conf_switch { CONF_UNSET, CONF_OFF, CONF_ON };

struct conf_grpc {
	uint16_t port;
	enum conf_switch enable_tls;	/* no default (T31) */
	char	*cert_file, *key_file;		/* "" if unset, never NULL */
	int64_t	 cert_reload_delay_ns;		/* > 0: "0s" is read as 2 s */
	bool	 auth_enabled;
	char	*issuer_url, *audience;
	char	*jwks_file;			/* ours: keys from a file */
	struct conf_allowed *allowed;
	size_t	 nallowed;
};

enum conf_signing { CONF_RS256, CONF_ES256 };

/* Ours, `limits.h2`: what tests turn down.  0: the built-in value. */
struct conf_h2 {
	uint32_t max_streams, reset_burst, reset_per_second;
	uint32_t keepalive_ms, keepalive_wait_ms, settings_ack_ms;
	uint32_t idle_ms, handshake_ms, first_token_ms, write_stall_ms;
};

struct conf {
	bool	 pprof;				/* accepted, warned about */
	enum log_level log_level;
	struct {
		bool	 enabled;
		char	*address;
	} api_server;
	struct conf_grpc grpc;
	struct {
		bool	 enabled, cache_tokens;
	} sa_token;
	struct {
		bool	 enabled;
		uint32_t check_interval_s;	/* 0: off */
		char	**exclude;		/* POSIX extended regular */
		size_t	 nexclude;		/* expressions, valid ones */
		int64_t	 escalate_after_ns;	/* ours; 0: never SIGKILL */
	} terminate_orphans;
	int64_t	 shutdown_grace_ns;		/* ours */
	struct {
		bool	 enabled;
	} reap_zombies;
	struct {
		int64_t	 detached_ttl_ns;	/* 0: never */
		bool	 allow_unlimited_ttl;
		bool	 allow_session_detach;
		bool	 kill_on_lost_attach;	/* ours */
	} shells;
	struct {
		char	*token_path, *public_key_path;	/* "": not configured */
		enum conf_signing signing_method;
	} identity;
	struct {			/* ours; what one daemon bears */
		uint32_t forks_per_second, fork_burst;
		uint32_t starting_max;	/* children not yet at exec */
		uint32_t connections, unauthenticated;
		struct conf_h2 h2;
	} limits;
	unsigned warnings;		/* logged while reading */
};

/* One line, terminated: "config.yaml:12:9: system.grpc.port: ...". */
#define CONF_ERROR_MAX	512

/* The platform's defaults.  For start-up: ends the program if out of memory. */
void	 conf_init(struct conf *c);
void	 conf_finish(struct conf *c);

/* Over what conf_init() left.  Warnings go to the log.  0, or -EINVAL or
 * -errno with err filled; c is then to be finished.  name is also where
 * "!file" is relative to. */
int	 conf_load(struct conf *c, const char *path, char *err, size_t errlen);
int	 conf_parse(struct conf *c, const char *name, const void *text,
	    size_t n, char *err, size_t errlen);

/* 0, or -EINVAL with why, terminated: not an extended regular expression. */
int	 conf_pattern_check(const char *pattern, char *why, size_t whylen);

#endif
