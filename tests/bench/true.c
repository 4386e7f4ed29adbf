/* true - the smallest command there is, static: what Exec itself costs. */
int
main(void)
{
	return 0;
}
