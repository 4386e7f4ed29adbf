/*
 * h2_frame - layouts of RFC 9113 sections 4, 6 and 7: numbers and headers, no
 * state.  Private to h2, and of use to its tests.
 */
#ifndef NET_H2_FRAME_H
#define NET_H2_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define H2_PREFACE		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_LEN		24u
#define H2_HEAD_LEN		9u
#define H2_ID_MAX		0x7fffffffu
#define H2_WINDOW_MAX		0x7fffffffu
#define H2_WINDOW_DEFAULT	65535u

/* What every peer takes and all we send or accept (TR-05). */
#define H2_FRAME_MAX		16384u
#define H2_FRAME_MAX_MAX	16777215u

enum h2_type {
	H2_DATA = 0x0, H2_HEADERS = 0x1, H2_PRIORITY = 0x2,
	H2_RST_STREAM = 0x3, H2_SETTINGS = 0x4, H2_PUSH_PROMISE = 0x5,
	H2_PING = 0x6, H2_GOAWAY = 0x7, H2_WINDOW_UPDATE = 0x8,
	H2_CONTINUATION = 0x9,
	H2_TYPE_COUNT
};

#define H2_FLAG_END_STREAM	0x01u
#define H2_FLAG_ACK		0x01u
#define H2_FLAG_END_HEADERS	0x04u
#define H2_FLAG_PADDED		0x08u
#define H2_FLAG_PRIORITY	0x20u

enum h2_setting {
	H2_SET_HEADER_TABLE_SIZE = 0x1, H2_SET_ENABLE_PUSH = 0x2,
	H2_SET_MAX_STREAMS = 0x3, H2_SET_WINDOW = 0x4,
	H2_SET_FRAME_MAX = 0x5, H2_SET_HEADER_LIST_MAX = 0x6
};

/* Lengths of payloads, and of their parts. */
#define H2_PRIORITY_LEN		5u
#define H2_RST_LEN		4u
#define H2_SETTING_LEN		6u
#define H2_PING_LEN		8u
#define H2_GOAWAY_LEN		8u	/* without debug data */
#define H2_UPDATE_LEN		4u

struct h2_head {
	uint32_t	length;
	uint8_t		type, flags;
	uint32_t	stream;		/* reserved bit cleared */
};

void	 h2_head_read(struct h2_head *head, const uint8_t *p);
void	 h2_head_write(uint8_t *p, const struct h2_head *head);

#endif
